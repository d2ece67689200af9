-- Looks at a prompt document once, with Neovim's own LSP client over `nanoscope stdio`, and changes nothing: code lenses,
-- hover, symbols, hints, code actions. Fails where one of them is not answered.
local SECONDS = 30

local function wait(what, condition)
  if not vim.wait(SECONDS * 1000, condition, 10) then
    io.stderr:write("waited in vain for " .. what .. "\n")
    vim.cmd("cquit 1")
  end
end

vim.cmd("edit " .. vim.fn.fnameescape(vim.env.DOCUMENT))
vim.bo.filetype = "prompt"
local buffer = vim.api.nvim_get_current_buf()
local initialized = false
local id = vim.lsp.start_client({
  name = "nanoscope",
  cmd = { vim.env.PYTHON, "-m", "daemon", "stdio", "--traces-dir", vim.env.TRACES },
  root_dir = vim.fn.getcwd(),
  on_init = function()
    initialized = true
  end,
})
wait("initialize", function()
  return initialized
end)
local client = vim.lsp.get_client_by_id(id)
vim.lsp.buf_attach_client(buffer, id)

local function document(more)
  return vim.tbl_extend("error", { textDocument = vim.lsp.util.make_text_document_params(buffer) }, more or {})
end

local function ask(method, params)
  local answered, result = false, nil
  client.request(method, params, function(problem, found)
    answered, result = problem == nil, found
  end, buffer)
  wait(method, function()
    return answered
  end)
  return result
end

local first = { line = 0, character = 0 }
local whole = { start = first, ["end"] = { line = vim.api.nvim_buf_line_count(buffer), character = 0 } }
for _, lens in ipairs(ask("textDocument/codeLens", document())) do
  if not lens.command then
    ask("codeLens/resolve", lens)
  end
end
ask("textDocument/hover", document({ position = { line = 0, character = 2 } }))
assert(#ask("textDocument/documentSymbol", document()) > 0)
ask("textDocument/inlayHint", document({ range = whole }))
ask("textDocument/codeAction", document({ range = whole, context = { diagnostics = {} } }))
vim.cmd("qall!")
