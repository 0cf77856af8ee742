package kernel

import _ "embed"

// Notebook is a Python program for a session of its own: it runs a notebook by
// papermill, shows what the cells print, and keeps what ran in NAME.out.ipynb,
// NAME being the session's. Its argument is the JSON of a NotebookWish.
//
//go:embed notebook.py
var Notebook string

// NotebookWish is what Notebook is told.
type NotebookWish struct {
	Path       string            `json:"path"` // of the notebook
	Auto       string            `json:"auto"` // the name made of the notebook's; "" = the session was given one
	Own        bool              `json:"own"`  // an environment was asked for: its Python runs it, whatever kernel the notebook names
	Parameters map[string]string `json:"parameters"`
}

// NotebookNeeds are the modules that Notebook imports, and the packages that
// have them.
var NotebookNeeds = []string{"papermill", ipykernel}
