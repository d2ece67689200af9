-- Works on a prompt document as a person does, with Neovim's own LSP client over `nanoscope stdio`: captures by code
-- lens, hovers, edits, cancels; prints what it saw. Neovim 0.7 has no inlay hints of its own.
local neovim = dofile("tests/clients/neovim_start.lua")
local fail, wait = neovim.fail, neovim.wait
local seen = { messages = {}, progress = {}, diagnostics = 0 }
local on_report

local client, buffer = neovim.open({
  handlers = {
    ["window/showMessage"] = function(_, params)
      table.insert(seen.messages, params.message)
    end,
    ["$/progress"] = function(_, params)
      table.insert(seen.progress, params.value)
      if on_report and params.value.kind == "report" and params.value.percentage then
        on_report(params.token)
      end
    end,
  },
})

local function document(more)
  return neovim.document(buffer, more)
end

local function ask(method, params)
  local answer
  local _, request = client.request(method, params, function(problem, result)
    answer = { problem = problem, result = result }
  end, buffer)
  return function()
    wait(method, function()
      return answer ~= nil
    end)
    return answer.result, answer.problem
  end, request
end

local function lens_titles()
  vim.lsp.codelens.save({}, buffer, client.id)
  vim.lsp.codelens.refresh()
  local titles
  wait("the lenses", function()
    titles = {}
    for index, lens in ipairs(vim.lsp.codelens.get(buffer)) do
      if not lens.command then
        return false
      end
      titles[index] = lens.command.title
    end
    return #titles > 0
  end)
  return titles
end

-- Chooses the lens of that name on a line, and waits for what its command ends with.
local function run_lens(line, title)
  local ended
  vim.ui.select = function(options, _, choose)
    for _, option in ipairs(options) do
      if option.lens.command.title == title then
        return choose(option)
      end
    end
    fail("there is no lens " .. title)
  end
  local before = vim.lsp.handlers["workspace/executeCommand"]
  vim.lsp.handlers["workspace/executeCommand"] = function(problem, result)
    ended = { problem = problem, result = result }
  end
  vim.api.nvim_win_set_cursor(0, { line, 0 })
  vim.lsp.codelens.run()
  wait(title, function()
    return ended ~= nil
  end)
  vim.lsp.handlers["workspace/executeCommand"] = before
  return ended
end

local function hover(line, character)
  local answered = ask("textDocument/hover", document({ position = { line = line, character = character } }))
  local result = answered()
  return result or vim.NIL
end

local function hints()
  local whole = { start = { line = 0, character = 0 }, ["end"] = { line = 99, character = 0 } }
  local answered = ask("textDocument/inlayHint", document({ range = whole }))
  return (answered())
end

-- The two ways to cancel a generation that runs. Neovim tells nobody of the answer that it was cancelled.
local function cancelled_by(way)
  local reports = #seen.progress
  local _, request = ask("workspace/executeCommand", {
    command = "nanoscope.capturePrompt",
    arguments = { vim.uri_from_bufnr(buffer), 1, vim.lsp.util.buf_versions[buffer] },
  })
  on_report = function(token)
    on_report = nil
    if way == "token" then
      client.notify("window/workDoneProgress/cancel", { token = token })
    else
      client.notify("$/cancelRequest", { id = request })
    end
  end
  wait("the end of what was cancelled", function()
    return #seen.progress > reports and seen.progress[#seen.progress].kind == "end"
  end)
  return on_report == nil
end

wait("the diagnostics", function()
  return #vim.diagnostic.get(buffer) > 0
end)
seen.diagnostics = vim.tbl_map(function(diagnostic)
  return { diagnostic.lnum, diagnostic.col, diagnostic.end_col, diagnostic.message }
end, vim.diagnostic.get(buffer))
seen.lenses_before = lens_titles()
seen.captured = run_lens(1, "Capture").result
seen.lenses_after = lens_titles()
seen.shown = run_lens(1, "Show trace").result
seen.hints = hints()
seen.hovers = {}
for character = 0, tonumber(vim.env.LENGTH) - 1 do
  seen.hovers[character + 1] = hover(3, character)
end
vim.api.nvim_win_set_cursor(0, { 4, 12 })
vim.lsp.buf.hover()
wait("the hover's window", function()
  return #vim.api.nvim_list_wins() == 2
end)
for _, window in ipairs(vim.api.nvim_list_wins()) do
  if vim.api.nvim_win_get_config(window).relative ~= "" then
    seen.window = vim.api.nvim_buf_get_lines(vim.api.nvim_win_get_buf(window), 0, -1, false)
    vim.api.nvim_win_close(window, true)
  end
end
vim.api.nvim_buf_set_text(buffer, 3, 0, 3, 0, { "Oh: ", "" })
seen.lenses_edited = lens_titles()
seen.hover_edited = hover(3, 1)
vim.cmd("undo")
seen.lenses_undone = lens_titles()
seen.cancelled = { token = cancelled_by("token"), request = cancelled_by("request") }
seen.symbols = ask("textDocument/documentSymbol", document())()
client.stop()
wait("the end", function()
  return client.is_stopped()
end)
io.stdout:write(vim.json.encode(seen) .. "\n")
vim.cmd("qall!")
