-- Looks at a prompt document once, with Neovim's own LSP client over `nanoscope stdio`, and changes nothing: code lenses,
-- hover, symbols, hints, code actions. Fails where one of them is not answered.
local neovim = dofile("tests/clients/neovim_start.lua")
local SECONDS = 30

local client, buffer = neovim.open({ words = { "--traces-dir", vim.env.TRACES }, seconds = SECONDS })

local function document(more)
  return neovim.document(buffer, more)
end

local function ask(method, params)
  local answered, result = false, nil
  client.request(method, params, function(problem, found)
    answered, result = problem == nil, found
  end, buffer)
  neovim.wait(method, function()
    return answered
  end, SECONDS)
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
