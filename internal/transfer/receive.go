package transfer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"nbremote/internal/remote"
)

// maxEntries bounds what a host may tell of.
const maxEntries = 5_000_000

// Get copies from a host to here. What the host sends stays inside Wish.To,
// whatever it is named. The result is of use with an error too; tell is called
// as it grows.
func Get(ctx context.Context, host remote.Piper, wish Wish, tell func(State)) (Result, error) {
	tries := &attempts{}
	return tries.run(ctx, wish, func() (Result, error) { return tries.get(ctx, host, wish, tell) })
}

func (a *attempts) get(ctx context.Context, host remote.Piper, wish Wish, tell func(State)) (Result, error) {
	r := &receiver{wish: wish, tell: func(now State) { tell(a.state(now)) }, tries: a, dirs: map[string]string{}, seen: map[string]bool{}}
	if err := r.find(); err != nil {
		return r.Result, err
	}
	defer r.root.Close()
	f, err := begin(ctx, host, a, func(w *writer) {
		for _, from := range wish.From {
			w.field("from", from)
		}
	})
	if err != nil {
		return r.Result, broken(ctx, err)
	}
	defer f.Close()
	defer context.AfterFunc(ctx, f.Close)()
	r.far = f
	defer r.leave()
	if err = r.list(); err == nil {
		err = r.receive()
	}
	if err == nil {
		err = r.finish()
	}
	return r.Result, broken(ctx, err)
}

// receiver writes below one folder of this computer.
type receiver struct {
	Result
	wish Wish
	tell func(State)
	far  *far

	tries *attempts

	root *os.Root
	name string // of what is copied, in root; "": after its source

	sources int

	top   string            // of the source that is being listed
	dirs  map[string]string // paths that came, and which they are in root; "" = it could not be made
	seen  map[string]bool   // every path that came
	files []*incoming       // nil: not wanted
	made  []entry           // folders, with their path in root
	links []entry
	now   *incoming // that bytes come for
	began bool
}

// find opens the folder that all goes into.
func (r *receiver) find() (err error) {
	to := r.wish.To
	folder := to
	i, err := os.Stat(to)
	switch {
	case err == nil && i.IsDir() && !r.goesOn():
	case r.wish.Folder || strings.HasSuffix(to, string(filepath.Separator)) || strings.HasSuffix(to, "/"):
		return &localError{fmt.Errorf("find the folder %s: there is none here", to), "not-found"}
	case err == nil && !i.Mode().IsRegular() && !i.IsDir():
		return &localError{fmt.Errorf("write to %s: it is no file and no folder", to), "other"}
	default:
		folder, r.name = filepath.Split(to)
		if folder == "" {
			folder = "."
		}
		if i, err := os.Stat(folder); err != nil || !i.IsDir() {
			return &localError{fmt.Errorf("find the folder %s: there is none here", folder), "not-found"}
		}
	}
	if r.root, err = os.OpenRoot(folder); err != nil {
		return &localError{fmt.Errorf("open the folder %s: %w", folder, cause(err)), "other"}
	}
	return nil
}

// A mark stands beside a folder that a source is copied to under another name,
// until it is whole: the same copy, given again, goes on in it and not into it.

// goesOn says whether there is one of this copy.
func (r *receiver) goesOn() bool {
	to := filepath.ToSlash(r.wish.To)
	if r.wish.Folder || len(r.wish.From) != 1 || strings.HasSuffix(to, "/") {
		return false
	}
	root, err := os.OpenRoot(filepath.Dir(r.wish.To))
	if err != nil {
		return false
	}
	defer root.Close()
	name := named(path.Base(to), ".copy")
	i, err := root.Lstat(name)
	if err != nil || !i.Mode().IsRegular() || i.Size() > 4096 {
		return false
	}
	raw, err := root.ReadFile(name)
	return err == nil && string(raw) == r.wish.From[0]
}

// mark says that the folder of that name has just been begun.
func (r *receiver) mark(name string) {
	r.root.Remove(named(name, ".copy"))
	if f, err := r.root.OpenFile(named(name, ".copy"), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600); err == nil {
		f.WriteString(r.wish.From[0])
		f.Close()
	}
}

// cause is an error of a file without the path, which is said beside it.
func cause(err error) error {
	if p := (*fs.PathError)(nil); errors.As(err, &p) {
		return p.Err
	}
	if l := (*os.LinkError)(nil); errors.As(err, &l) {
		return l.Err
	}
	return err
}

// failed tells of what could not be written; an error is one for all the rest.
func (r *receiver) failed(rel string, err error) error {
	if slices.ContainsFunc(noRoom, func(full error) bool { return errors.Is(err, full) }) {
		return &localError{fmt.Errorf("write %s: %w", r.here(rel), cause(err)), "other"}
	}
	class := "other"
	if errors.Is(err, fs.ErrExist) || errors.Is(err, errMeanwhile) {
		class = Exists
	}
	r.add(Trouble{Class: class, Path: r.here(rel), Text: cause(err).Error()})
	return nil
}

// here is how a path in root would be typed.
func (r *receiver) here(rel string) string {
	return filepath.Join(r.root.Name(), filepath.FromSlash(rel))
}

// exists is a conflict with what is there.
type exists string

func (e exists) Error() string { return string(e) }

// Is makes it one of fs.ErrExist.
func (e exists) Is(target error) bool { return target == fs.ErrExist }

// list hears what there is and says what is wanted of it.
func (r *receiver) list() error {
	for {
		name, value, err := r.far.take(maxField)
		if err != nil {
			return err
		}
		switch name {
		case "listed":
			r.far.field("wanted", "")
			r.tries.list(r.State)
			r.tell(r.State)
			return r.far.flush()
		case "trouble":
			r.add(parseTrouble(value))
		case "source":
			err = r.source(string(value))
		case "dir", "file", "link":
			err = r.entry(name, value)
		}
		if err != nil {
			return err
		}
	}
}

func (r *receiver) source(name string) error {
	if r.sources++; r.sources > 1 && r.name != "" {
		return &localError{fmt.Errorf("find the folder %s: there is none here, and there are several to copy", r.here(r.name)), "not-found"}
	}
	r.top = r.name
	if r.top == "" && name == "" {
		r.top = "."
	}
	if r.top == "" {
		if !goodName(name) {
			return fmt.Errorf("a name that leads elsewhere: %.100q", name)
		}
		r.top = name
	}
	return nil
}

// entry takes one that came: below a folder that came before it, and once.
func (r *receiver) entry(kind string, value []byte) error {
	e, err := parseEntry(kind, value)
	if err != nil {
		return err
	}
	above, last, below := cutLast(e.path)
	in, known := r.dirs[above]
	if below && !known || !below && (r.top == "" || kind == "link") || r.seen[e.path] || len(r.seen) >= maxEntries {
		return fmt.Errorf("it lists %.100q, which cannot be", e.path)
	}
	r.seen[e.path] = true
	rel := r.top
	if below {
		rel = in + "/" + last
		if in == "." {
			rel = last
		}
	} else {
		r.top = ""
	}
	skip := below && in == ""
	if kind == "dir" {
		r.dirs[e.path] = ""
	}
	switch {
	case kind == "file":
		r.files = append(r.files, nil)
	case kind == "link" && !staysInside(e.path, e.to):
		r.add(Trouble{Class: Skipped, Path: e.path[strings.IndexByte(e.path, '/')+1:], Text: "a link that leads out of what is copied, to " + e.to})
		return nil
	}
	if skip {
		return nil
	}
	switch kind {
	case "dir":
		err = r.directory(e, rel)
	case "file":
		err = r.file(e, rel)
	case "link":
		from := e
		from.path = rel
		r.links = append(r.links, from)
	}
	if err != nil {
		return r.failed(rel, err)
	}
	return nil
}

func cutLast(p string) (above, last string, ok bool) {
	i := strings.LastIndexByte(p, '/')
	if i < 0 {
		return "", p, false
	}
	return p[:i], p[i+1:], true
}

func (r *receiver) directory(e entry, rel string) error {
	if rel != "." {
		err := r.root.Mkdir(rel, e.mode|0o700)
		if errors.Is(err, fs.ErrExist) {
			i, lerr := r.root.Lstat(rel)
			if lerr != nil || !i.IsDir() {
				return exists("it is there, and no folder")
			}
		} else if err != nil {
			return err
		} else if r.tries.made[e.path] = true; rel == r.name {
			r.mark(rel)
		}
		if r.tries.made[e.path] {
			folder := e
			folder.path = rel
			r.made = append(r.made, folder)
		}
	}
	r.dirs[e.path] = rel
	return nil
}

// file decides whether a file is wanted.
func (r *receiver) file(e entry, rel string) error {
	number := len(r.files) - 1
	f := &incoming{entry: e, root: r.root, rel: rel}
	was, err := r.root.Lstat(rel)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	case !was.Mode().IsRegular():
		if was.IsDir() || !r.wish.Force {
			return exists("it is there, and no file")
		}
		f.was = was
	case was.Size() == e.size && was.ModTime().Equal(e.mtime):
		r.Already++
		return nil
	case r.wish.Force:
		f.was = was
	case was.Size() == e.size:
		sum, err := hashFile(r.root, rel, e.size)
		if err != nil {
			return err
		}
		r.files[number] = f
		r.far.field("same", fmt.Sprintf("%d %s", number, sum))
		return nil
	default:
		return exists("another file is there")
	}
	f.claim()
	r.files[number] = f
	r.AllFiles++
	r.AllBytes += e.size
	sum := ""
	if f.at > 0 {
		sum = f.left
	}
	r.far.field("want", fmt.Sprintf("%d %d %s", number, f.at, sum))
	return nil
}
