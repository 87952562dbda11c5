-- Run by `nvim --headless -u NONE -c "luafile ..."` with the program and a folder in the environment: Neovim's own client asks, and what it
-- gets is printed for the test to read.
local program, folder = vim.env.BMCTL, vim.env.FOLDER

local function say(text)
  io.stdout:write(text:gsub('\n', ' ') .. '\n')
end

vim.cmd('edit ' .. folder .. '/main.hcl')
local id = vim.lsp.start_client({ name = 'bmctl', cmd = { program, 'lsp', '--stdio' }, root_dir = folder })
vim.lsp.buf_attach_client(0, id)
vim.wait(10000, function() return vim.lsp.get_client_by_id(id).initialized end, 10)

local function ask(method, line, column)
  local params = {
    textDocument = vim.lsp.util.make_text_document_params(),
    position = { line = line, character = column },
    options = { tabSize = 2, insertSpaces = true },
  }
  for _, answer in pairs(vim.lsp.buf_request_sync(0, method, params, 10000) or {}) do
    return answer.result
  end
end

-- An edit that goes to the server as a change of a part, after letters that are two units of UTF-16.
vim.api.nvim_buf_set_lines(0, 2, 3, false, { '  b = "😀" == local. ' })
for _, item in ipairs(ask('textDocument/completion', 2, 20)) do
  say('complete ' .. item.label)
end
vim.api.nvim_buf_set_lines(0, 2, 3, false, { '  b = "😀" == nope' })
vim.wait(10000, function()
  local first = vim.diagnostic.get(0)[1]
  return first and first.code == 'E0401'
end, 10)
for _, found in ipairs(vim.diagnostic.get(0)) do
  say('mistake ' .. found.code .. ' ' .. found.lnum .. ':' .. found.col)
end
say('hover ' .. ask('textDocument/hover', 0, 3).contents.value)
vim.api.nvim_buf_set_lines(0, 2, 3, false, { '  bcd=local.a' })
local target = ask('textDocument/definition', 2, 14)
say('definition ' .. target.range.start.line .. ':' .. target.range.start.character)
vim.lsp.buf.formatting_sync({}, 10000)
say('laid out ' .. vim.api.nvim_buf_get_lines(0, 2, 3, false)[1])
vim.cmd('qa!')
