package ide

// debugPort is debugpy's own, which run --debug takes while it is free.
const debugPort = 5678

// launchFile is a launch.json that holds nothing else.
type launchFile struct {
	Version        string   `json:"version"`
	Configurations []launch `json:"configurations"`
}

// launch is one of launch.json, as Python's debugger for VS Code takes it.
type launch struct {
	Name         string        `json:"name"`
	Type         string        `json:"type"`
	Request      string        `json:"request"`
	Connect      connect       `json:"connect"`
	PathMappings []pathMapping `json:"pathMappings"`
	JustMyCode   bool          `json:"justMyCode"`
	Before       string        `json:"preLaunchTask,omitempty"`
}

type connect struct {
	Host string `json:"host"`
	Port int    `json:"port"`
}

type pathMapping struct {
	Local  string `json:"localRoot"`
	Remote string `json:"remoteRoot"`
}

// debugTask runs the file that is open under the debugger: the folder of the
// project here is where's directory there.
func debugTask(where string) task {
	return task{
		Label: Label("debug", where), Detail: "Run the file that is open there, under the debugger", Type: "process", Command: "nbremote",
		Args:         []string{"run", "--debug", "--progress=plain", where, "--", "python", "${relativeFile}"},
		IsBackground: true, Presentation: presentation{Reveal: "always", Panel: "dedicated", Group: "nbremote"}, ProblemMatcher: lines,
	}
}

// launches attach to a program that is being debugged there. To debugpy "." is
// the directory in which the program was started.
func launches(where string) []launch {
	attach := launch{
		Name: Label("attach to", where), Type: "debugpy", Request: "attach", Connect: connect{"127.0.0.1", debugPort},
		PathMappings: []pathMapping{{"${workspaceFolder}", "."}}, JustMyCode: true,
	}
	file := attach
	file.Name, file.Before = Label("debug this file on", where), Label("debug", where)
	return []launch{file, attach}
}

// mergeLaunch adds the configurations whose names the file does not have.
func mergeLaunch(existing []byte, where string) (Merged, error) {
	all := launches(where)
	list := list{key: "configurations", version: "0.2.0", named: "name"}
	for _, l := range all {
		list.add(l.Name, l)
	}
	return list.merge(existing, launchFile{"0.2.0", all})
}
