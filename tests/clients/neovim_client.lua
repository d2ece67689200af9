-- A client by Neovim's own LSP client over `nanoscope stdio`: captures, lists, is told of the others' captures;
-- prints what it saw. For Neovim 0.7, which has no vim.lsp.start.
local name, clients = vim.env.CLIENT_NAME, tonumber(vim.env.CLIENT_COUNT)
local ready, go = vim.env.CLIENT_READY, vim.env.CLIENT_GO
local told, count, initialized = {}, 0, false

local function fail(message)
  io.stderr:write(message .. "\n")
  vim.cmd("cquit 1")
end

local function wait(what, condition)
  if not vim.wait(60000, condition, 20) then
    fail("waited in vain for " .. what)
  end
end

local id = vim.lsp.start_client({
  name = name,
  cmd = { vim.env.PYTHON, "-m", "daemon", "stdio" },
  root_dir = vim.fn.getcwd(),
  handlers = {
    traces_changed = function(_, params)
      for _, trace_id in ipairs(params.added) do
        if not told[trace_id] then
          told[trace_id], count = true, count + 1
        end
      end
    end,
  },
  on_init = function()
    initialized = true
  end,
})
wait("initialize", function()
  return initialized
end)
local client = vim.lsp.get_client_by_id(id)

local function ask(method, params)
  local answer
  client.request(method, params, function(problem, result)
    answer = { problem = problem, result = result }
  end)
  wait(method, function()
    return answer ~= nil
  end)
  if answer.problem then
    fail(method .. ": " .. vim.inspect(answer.problem))
  end
  return answer.result
end

vim.fn.writefile({}, ready)
wait("the others", function()
  return vim.fn.filereadable(go) == 1
end)
local captured = ask("generate_and_capture", { prompt = "By " .. name, max_tokens = 3 })
local listed = ask("list_traces", { text = "By " .. name })
wait("the others' captures", function()
  return count >= clients
end)
local ids = vim.tbl_map(function(row)
  return row.trace_id
end, listed.traces)
client.stop()
wait("the end", function()
  return client.is_stopped()
end)
io.stdout:write(vim.fn.json_encode({ captured = captured.trace_id, listed = ids, told = vim.tbl_keys(told) }) .. "\n")
vim.cmd("qall!")
