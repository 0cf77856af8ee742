package holder

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"sync"

	"nbremote/internal/link"
)

// memory is what is worth knowing about a target the next time, in one file of
// the state directory. It is a convenience: unreadable is empty, and a write
// that fails is let go.
type memory struct {
	path string
	mu   sync.Mutex
	data remembered
}

type remembered struct {
	Version int            `json:"version"`
	Name    string         `json:"name,omitempty"`     // as it was typed
	LastKey string         `json:"last_key,omitempty"` // fingerprint of the key that signed in
	Person  bool           `json:"person,omitempty"`   // the last sign-in needed one
	Ports   map[string]int `json:"ports,omitempty"`    // its own local port by session
	// Proxies are what belongs to each proxy, by name.
	Proxies map[string]keptProxy `json:"proxies,omitempty"`
	Node    *Node                `json:"node,omitempty"`   // of several behind the name, where to return to
	Laptop  string               `json:"laptop,omitempty"` // our identity towards the relay there, in hex
}

// keptProxy is what stays the same of a proxy, so that a browser which was told
// of it finds it again.
type keptProxy struct {
	Port    int    `json:"port"`
	PACPort int    `json:"pac_port,omitempty"`
	PACPath string `json:"pac_path,omitempty"` // nobody can guess it
}

func (d *remembered) proxyPorts(ports map[int]bool) {
	for _, p := range d.Proxies {
		ports[p.Port], ports[p.PACPort] = true, true
	}
}

func (m *memory) proxy(name string) keptProxy {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.data.Proxies[name]
}

func (m *memory) setProxy(name string, p keptProxy) {
	m.change(func(d *remembered) bool {
		same := d.Proxies[name] == p
		if d.Proxies == nil {
			d.Proxies = map[string]keptProxy{}
		}
		d.Proxies[name] = p
		return !same
	})
}

func loadMemory(place Place, key string) *memory {
	m := &memory{path: filepath.Join(place.State, "hosts", key+".json")}
	if raw, err := os.ReadFile(m.path); err == nil {
		if json.Unmarshal(raw, &m.data) != nil || m.data.Version != 1 {
			m.data = remembered{}
		}
	}
	m.data.Version = 1
	if m.data.Ports == nil {
		m.data.Ports = map[string]int{}
	}
	return m
}

func (m *memory) name() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.data.Name
}

func (m *memory) setName(name string) {
	m.change(func(d *remembered) bool {
		same := d.Name == name
		d.Name = name
		return !same
	})
}

func (m *memory) lastKey() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.data.LastKey
}

func (m *memory) setLastKey(fingerprint string) {
	m.change(func(d *remembered) bool {
		same := d.LastKey == fingerprint
		d.LastKey = fingerprint
		return !same
	})
}

func (m *memory) setPerson(needed bool) {
	m.change(func(d *remembered) bool {
		same := d.Person == needed
		d.Person = needed
		return !same
	})
}

func (m *memory) port(session string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.data.Ports[session]
}

// others are the ports that other sessions have for their own, on this target
// and on every other.
func (m *memory) others(session string) map[int]bool {
	ports := map[int]bool{}
	files, _ := os.ReadDir(filepath.Dir(m.path))
	for _, f := range files {
		var d remembered
		raw, err := os.ReadFile(filepath.Join(filepath.Dir(m.path), f.Name()))
		if err != nil || f.Name() == filepath.Base(m.path) || json.Unmarshal(raw, &d) != nil {
			continue
		}
		for _, port := range d.Ports {
			ports[port] = true
		}
		d.proxyPorts(ports)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for s, port := range m.data.Ports {
		if s != session {
			ports[port] = true
		}
	}
	m.data.proxyPorts(ports)
	return ports
}

func (m *memory) setPort(session string, port int) {
	m.change(func(d *remembered) bool {
		same := d.Ports[session] == port
		d.Ports[session] = port
		return !same
	})
}

func (m *memory) change(f func(*remembered) bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !f(&m.data) {
		return
	}
	raw, err := json.Marshal(m.data)
	if err != nil {
		return
	}
	if os.MkdirAll(filepath.Dir(m.path), 0o700) == nil {
		writeFile(m.path, raw)
	}
}

// writeFile replaces a file of ours whole, readable by its owner only.
func writeFile(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*") // 0600, O_EXCL
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	if _, err := f.Write(data); err != nil {
		f.Close()
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// aliasPath is the file that leads from a name as typed to its holder.
func (p Place) aliasPath(alias string) string {
	sum := sha256.Sum256([]byte(alias))
	return p.path("alias-" + hex.EncodeToString(sum[:8]))
}

// laptop is the identity that this state directory has towards the target's relay.
func (m *memory) laptop() (id link.ID) {
	m.change(func(d *remembered) bool {
		if raw, err := hex.DecodeString(d.Laptop); err == nil && len(raw) == len(id) {
			copy(id[:], raw)
			return false
		}
		id = link.NewID()
		d.Laptop = id.String()
		return true
	})
	return id
}

// addAlias lets a name as it was typed find this holder without resolving it.
func (h *holder) addAlias(alias string) {
	if alias == "" {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, a := range h.aliases {
		if a == alias {
			return
		}
	}
	data, _ := json.Marshal(map[string]string{"key": h.spec.Target.Key()})
	if err := writeFile(h.spec.Place.aliasPath(alias), data); err != nil {
		h.log.Printf("keep the name %q: %v", alias, err)
		return
	}
	h.aliases = append(h.aliases, alias)
}

func (h *holder) dropAliases() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, a := range h.aliases {
		os.Remove(h.spec.Place.aliasPath(a))
	}
}
