package kernel

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"path"
	"slices"
	"sync"
)

// See asks a server which kernels it sees and which run: three questions at
// once.
func See(ctx context.Context, dial Dial, s Server) ([]Spec, []Running, error) {
	bodies, err := all(ctx, dial, s, "api/kernelspecs", "api/kernels", "api/sessions")
	if err != nil {
		return nil, nil, err
	}
	specs, err := ParseKernelspecs(bodies[0])
	return specs, ParseRunning(bodies[1], bodies[2]), err
}

// Runs asks a server which kernels run.
func Runs(ctx context.Context, dial Dial, s Server) ([]Running, error) {
	bodies, err := all(ctx, dial, s, "api/kernels", "api/sessions")
	if err != nil {
		return nil, err
	}
	return ParseRunning(bodies[0], bodies[1]), nil
}

func all(ctx context.Context, dial Dial, s Server, paths ...string) ([][]byte, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, askTime, fmt.Errorf("ask Jupyter for its kernels: no answer in %v", askTime))
	defer cancel()
	bodies, errs := make([][]byte, len(paths)), make([]error, len(paths))
	var wg sync.WaitGroup
	for i, path := range paths {
		wg.Go(func() { bodies[i], errs[i] = fetch(ctx, dial, s, path) })
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil && ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err != nil {
			return nil, fmt.Errorf("ask Jupyter for its kernels: %w", err)
		}
	}
	return bodies, nil
}

func fetch(ctx context.Context, dial Dial, s Server, path string) ([]byte, error) {
	resp, done, err := request(ctx, dial, s, http.MethodGet, path)
	if err != nil {
		return nil, err
	}
	defer done()
	if resp.StatusCode != http.StatusOK {
		return nil, &ServerError{What: "read " + path, Status: resp.StatusCode}
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, bodyLimit+1))
	if err == nil && len(body) > bodyLimit {
		err = fmt.Errorf("read %s: more than %d bytes", path, bodyLimit)
	}
	return body, err
}

// Folders are where, beside the usual places, the kernelspecs may lie that a
// server sees: in the environments that they start.
func Folders(specs []Spec) (dirs []string) {
	for _, s := range specs {
		if len(s.Argv) == 0 || !path.IsAbs(s.Argv[0]) || path.Base(path.Dir(s.Argv[0])) != "bin" {
			continue
		}
		if dir := path.Join(path.Dir(path.Dir(s.Argv[0])), "share/jupyter/kernels"); !slices.Contains(dirs, dir) && len(dirs) < 50 {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

// Locate fills in the directories of what a server sees from what is on disk.
func Locate(seen, disk []Spec) {
	for i := range seen {
		at := slices.IndexFunc(disk, func(d Spec) bool {
			same := d.Name == seen[i].Name && d.DisplayName == seen[i].DisplayName && len(d.Argv) == len(seen[i].Argv)
			// A server writes its own Python in the place of a bare one.
			return same && len(d.Argv) > 0 && (slices.Equal(d.Argv, seen[i].Argv) || barePython(d.Argv[0]) && slices.Equal(d.Argv[1:], seen[i].Argv[1:]))
		})
		if at >= 0 {
			seen[i].Dir = disk[at].Dir
		}
	}
}

// Of says whether this is a kernel of the environment.
func (s Spec) Of(e Environment) bool {
	return s.Prefix != "" && s.Prefix == e.Prefix && (e.Kind != "python" || s.Interpreter == e.Python) || s.Interpreter != "" && s.Interpreter == e.Python
}
