-- Starts Neovim's own LSP client on `nanoscope stdio` and waits with it: `dofile` gives a table of functions.
-- For Neovim 0.7, which has no vim.lsp.start.
local M = {}

function M.fail(message)
  io.stderr:write(message .. "\n")
  vim.cmd("cquit 1")
end

-- `seconds`: a minute unless said otherwise.
function M.wait(what, condition, seconds)
  if not vim.wait((seconds or 60) * 1000, condition, 10) then
    M.fail("waited in vain for " .. what)
  end
end

-- An initialized client; `options`: its name, the handlers of what it is told, more words of the command.
function M.start(options)
  local initialized = false
  local id = vim.lsp.start_client({
    name = options.name or "nanoscope",
    cmd = vim.list_extend({ vim.env.PYTHON, "-m", "daemon", "stdio" }, options.words or {}),
    root_dir = vim.fn.getcwd(),
    handlers = options.handlers,
    on_init = function()
      initialized = true
    end,
  })
  M.wait("initialize", function()
    return initialized
  end, options.seconds)
  return vim.lsp.get_client_by_id(id)
end

-- The same on the prompt document that DOCUMENT names; its buffer as well.
function M.open(options)
  vim.cmd("edit " .. vim.fn.fnameescape(vim.env.DOCUMENT))
  vim.bo.filetype = "prompt"
  local buffer = vim.api.nvim_get_current_buf()
  local client = M.start(options)
  vim.lsp.buf_attach_client(buffer, client.id)
  return client, buffer
end

-- The params of a request about a buffer's document.
function M.document(buffer, more)
  return vim.tbl_extend("error", { textDocument = vim.lsp.util.make_text_document_params(buffer) }, more or {})
end

return M
