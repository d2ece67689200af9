-- A client by Neovim's own LSP client over `nanoscope stdio`: captures, lists, is told of the others' captures;
-- prints what it saw.
local neovim = dofile("tests/clients/neovim_start.lua")
local wait = neovim.wait
local name, clients = vim.env.CLIENT_NAME, tonumber(vim.env.CLIENT_COUNT)
local ready, go = vim.env.CLIENT_READY, vim.env.CLIENT_GO
local told, count = {}, 0

local client = neovim.start({
  name = name,
  handlers = {
    traces_changed = function(_, params)
      for _, trace_id in ipairs(params.added) do
        if not told[trace_id] then
          told[trace_id], count = true, count + 1
        end
      end
    end,
  },
})

local function ask(method, params)
  local answer
  client.request(method, params, function(problem, result)
    answer = { problem = problem, result = result }
  end)
  wait(method, function()
    return answer ~= nil
  end)
  if answer.problem then
    neovim.fail(method .. ": " .. vim.inspect(answer.problem))
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
