// Package kernel makes a Python environment on a host a Jupyter kernel, proves
// that it works, and tells which kernels and environments there are. How a
// script reaches the host is remote.Runner's business; which Jupyter runs
// there is package jupyter's.
package kernel

import "time"

// Environment is a Python environment on a host.
type Environment struct {
	Name      string `json:"name"`                // as a person would say it: "ds", "my_venv", "proj"
	Kind      string `json:"kind"`                // venv, uv, poetry, pixi, hatch, conda, pyenv, python
	Prefix    string `json:"prefix"`              // its sys.prefix
	Python    string `json:"python"`              // path of its interpreter, not resolved
	Project   string `json:"project,omitempty"`   // directory of the project it belongs to
	Version   string `json:"version,omitempty"`   // of Python, e.g. "3.12" or "3.12.4"; "" = not known
	IPykernel string `json:"ipykernel,omitempty"` // version, "" = not there
	Tool      string `json:"tool,omitempty"`      // path of the program that manages it (uv, poetry, pixi, hatch, conda, …), "" = not found
	Pip       bool   `json:"pip"`                 // its own pip is there
	Broken    string `json:"broken,omitempty"`    // why it cannot run, "" = nothing seen
}

// Server is a running Jupyter, as far as a kernel's proof needs it.
type Server struct {
	PID           int    // on the host
	Network, Addr string // "unix" or "tcp", on the host
	BaseURL       string // begins and ends with a slash
	Token         string
}

// Wish is a kernel to add.
type Wish struct {
	Env         Environment
	Name        string        // of the kernelspec; "" = made of Env.Name by SpecName
	DisplayName string        // "" = made of Env.Name and the version of Python
	Setenv      []string      // KEY=VALUE, for the kernel; ${NAME} is what Jupyter itself has, any other $ is a dollar
	Setup       string        // one line of bash, run before the kernel, e.g. "module load cuda"; "" = none
	With        bool          // a uv project: ipykernel comes from "uv run --with ipykernel", nothing is added to the project
	Force       bool          // replace a kernel of that name that is another
	Server      *Server       // through which it is proved; nil = by itself
	Timeout     time.Duration // of the proof; 0 = 60 s
}

// Added is a kernel that was proved.
type Added struct {
	Name        string        `json:"name"`
	DisplayName string        `json:"display_name"`
	Dir         string        `json:"dir,omitempty"` // of its kernel.json; "" = only the server knows
	Unchanged   bool          `json:"unchanged"`     // the same was there already
	Prefix      string        `json:"prefix"`        // its sys.prefix
	Python      string        `json:"python"`
	IPykernel   string        `json:"ipykernel"`
	Platform    string        `json:"platform,omitempty"`
	Torch       string        `json:"torch,omitempty"` // version, "" = not there or not loaded
	CUDA        string        `json:"cuda,omitempty"`  // that torch was made for
	GPUs        int           `json:"gpus"`            // that torch sees
	Took        time.Duration `json:"took_ns"`         // from the kernel's start to its answers
	Notes       []string      `json:"notes,omitempty"`
}
