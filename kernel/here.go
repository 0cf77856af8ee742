package kernel

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Here is a kernelspec of this computer that stands for a kernel on a host.
type Here struct {
	Name        string    `json:"name"`
	Dir         string    `json:"dir"`
	DisplayName string    `json:"display_name"`
	Language    string    `json:"language"`
	Argv        []string  `json:"argv"`
	Host        string    `json:"host"`
	Kernel      string    `json:"kernel"` // its name on the host
	Spec        string    `json:"spec"`   // and its directory there
	Debugger    bool      `json:"debugger"`
	Added       time.Time `json:"added,omitzero"`
	Unchanged   bool      `json:"unchanged"`
}

// hereJSON is its kernel.json.
type hereJSON struct {
	Argv          []string `json:"argv"`
	DisplayName   string   `json:"display_name"`
	Language      string   `json:"language"`
	InterruptMode string   `json:"interrupt_mode"`
	Metadata      struct {
		Debugger bool       `json:"debugger"`
		Ours     laptopMeta `json:"nbremote"`
	} `json:"metadata"`
}

// laptopMeta is how such a kernelspec is known.
type laptopMeta struct {
	Laptop bool   `json:"laptop"`
	Host   string `json:"host"`
	Kernel string `json:"kernel"`
	Spec   string `json:"spec"`
	Added  string `json:"added"`
}

// FolderHere is where the Jupyters and editors of this account look for
// kernelspecs: what jupyter --data-dir says, and kernels in it.
func FolderHere() (string, error) {
	if dir := os.Getenv("JUPYTER_DATA_DIR"); dir != "" {
		return filepath.Join(dir, "kernels"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("find the folder of kernels: %w", err)
	}
	switch runtime.GOOS {
	case "darwin":
		return filepath.Join(home, "Library", "Jupyter", "kernels"), nil
	case "windows":
		data := os.Getenv("APPDATA")
		if data == "" {
			data = filepath.Join(home, "AppData", "Roaming")
		}
		return filepath.Join(data, "jupyter", "kernels"), nil
	}
	data := os.Getenv("XDG_DATA_HOME")
	if data == "" {
		data = filepath.Join(home, ".local", "share")
	}
	return filepath.Join(data, "jupyter", "kernels"), nil
}

// AddHere writes the kernelspec into the folder, whole or not at all. One of
// that name that is another kernel's is a *TakenError, unless force is set.
func AddHere(folder string, k Here, force bool) (*Here, error) {
	if err := CheckName(k.Name); err != nil {
		return nil, err
	}
	k.Dir, k.Added = filepath.Join(folder, k.Name), time.Now().UTC().Truncate(time.Second)
	old, oldErr := readHere(k.Dir)
	if oldErr == nil && same(old, &k) {
		old.Unchanged = true
		return old, nil
	}
	if _, err := os.Lstat(k.Dir); err == nil && !force && (oldErr != nil || old.Host != k.Host || old.Spec != k.Spec) {
		taken := &TakenError{Name: k.Name, Old: Brief{Dir: k.Dir}, New: Brief{Argv0: k.Argv[0], DisplayName: k.DisplayName}}
		if raw, err := os.ReadFile(filepath.Join(k.Dir, "kernel.json")); err == nil {
			s := parseSpec(k.Name, k.Dir, raw)
			taken.Old.DisplayName = s.DisplayName
			if len(s.Argv) > 0 {
				taken.Old.Argv0 = s.Argv[0]
			}
		}
		return nil, taken
	}
	if err := k.write(); err != nil {
		return nil, &MissingError{What: fmt.Sprintf("add kernel %s here: %v", k.Name, err), Try: "ls -ld " + shown(folder)}
	}
	return &k, nil
}

func same(a, b *Here) bool {
	return a.DisplayName == b.DisplayName && a.Language == b.Language && slices.Equal(a.Argv, b.Argv) && a.Debugger == b.Debugger && a.Spec == b.Spec && a.Host == b.Host
}

func (k *Here) write() error {
	var file hereJSON
	file.Argv, file.DisplayName, file.Language, file.InterruptMode = k.Argv, k.DisplayName, k.Language, "message"
	file.Metadata.Debugger = k.Debugger
	file.Metadata.Ours = laptopMeta{Laptop: true, Host: k.Host, Kernel: k.Kernel, Spec: k.Spec, Added: k.Added.Format(time.RFC3339)}
	raw, err := json.MarshalIndent(file, "", " ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(k.Dir, 0o755); err != nil {
		return err
	}
	t, err := os.CreateTemp(k.Dir, ".kernel-*")
	if err != nil {
		return err
	}
	defer os.Remove(t.Name())
	_, err = t.Write(append(raw, '\n'))
	if err == nil {
		err = t.Chmod(0o644)
	}
	if err := errors.Join(err, t.Close()); err != nil {
		return err
	}
	return os.Rename(t.Name(), filepath.Join(k.Dir, "kernel.json"))
}

var errNotHere = errors.New("it stands for no kernel on a host")

func readHere(dir string) (*Here, error) {
	raw, err := os.ReadFile(filepath.Join(dir, "kernel.json"))
	if err != nil {
		return nil, err
	}
	var file hereJSON
	if err := json.Unmarshal(raw, &file); err != nil || !file.Metadata.Ours.Laptop {
		return nil, errNotHere
	}
	m := file.Metadata.Ours
	k := &Here{
		Name: filepath.Base(dir), Dir: dir, DisplayName: file.DisplayName, Language: file.Language, Argv: file.Argv,
		Debugger: file.Metadata.Debugger, Host: m.Host, Kernel: m.Kernel, Spec: m.Spec,
	}
	k.Added, _ = time.Parse(time.RFC3339, m.Added)
	return k, nil
}

// ListHere are the kernelspecs in the folder that stand for kernels on a host;
// "" is every host.
func ListHere(folder, host string) []Here {
	entries, _ := os.ReadDir(folder)
	all := []Here{}
	for _, e := range entries {
		if k, err := readHere(filepath.Join(folder, e.Name())); err == nil && (host == "" || k.Host == host) {
			all = append(all, *k)
		}
	}
	return all
}

// RemoveHere removes one of them.
func RemoveHere(k Here) error {
	if _, err := readHere(k.Dir); err != nil || filepath.Base(k.Dir) != k.Name || strings.ContainsAny(k.Name, `/\`) {
		return &UsageError{What: fmt.Sprintf("remove kernel %s: %s is no kernel of a host", k.Name, k.Dir), Try: "nbremote kernel list"}
	}
	if err := os.RemoveAll(k.Dir); err != nil {
		return &MissingError{What: fmt.Sprintf("remove kernel %s: %v", k.Name, err), Try: "ls -ld " + shown(k.Dir)}
	}
	return nil
}
