package ide

import (
	"bytes"
	"strings"
	"text/template"

	_ "embed"
)

// Snippet is something to be put into a place of the person's own, which no
// program should write to: a shell, or an editor's configuration.
type Snippet struct {
	Place   string `json:"place"`
	Content string `json:"content"`
}

//go:embed snippets.txt
var snippetsText string

// snippets are one template each, named EDITOR/PLACE. {{sh .}} is the name of
// the host as a word of sh, {{str .}} as a string of Lua, Lisp and JSON.
var snippets = template.Must(template.New("").Funcs(template.FuncMap{"sh": quoteSh, "str": quoteString}).Parse(snippetsText))

// places are those of an editor, in the order of their use.
var places = map[string][]string{
	"jlab":   {"a shell"},
	"zed":    {".zed/tasks.json", "a shell"},
	"neovim": {"init.lua"},
	"emacs":  {"init.el"},
}

// Snippets are what an editor needs that has no files for this, or whose files
// are the person's; false: it is not one of these. Where is asked for its address
// when that is wanted: none of them holds one, nor a token.
func Snippets(editor, where string) (all []Snippet, known bool, err error) {
	list, known := places[editor]
	if !known {
		return nil, false, nil
	}
	if err := check(where); err != nil {
		return nil, true, err
	}
	for _, place := range list {
		var b bytes.Buffer
		if err := snippets.ExecuteTemplate(&b, editor+"/"+place, where); err != nil {
			return nil, true, err
		}
		all = append(all, Snippet{Place: place, Content: strings.TrimLeft(b.String(), "\n")})
	}
	return all, true, nil
}

// quoteString makes a string of a text without control characters.
func quoteString(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
}
