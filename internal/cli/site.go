package cli

import (
	"context"
	"fmt"
	"net"
	"os"

	"nbremote/internal/holder"
	"nbremote/internal/remote"
	"nbremote/jupyter"
	"nbremote/kernel"
)

// site is where kernels are: a host behind its line, or this computer.
type site struct {
	shell
	dial  func(ctx context.Context, network, addr string) (net.Conn, error)
	w     where
	dir   string // whose project counts: a path there, "" = the home
	here  bool   // this computer
	pages []holder.Page
	leave func()
}

// shell runs scripts there.
type shell interface {
	remote.Runner
	remote.Streamer
}

// thisComputer is the HOST that needs no ssh.
const thisComputer = "."

// site connects to the host that --host names; left out, the one that every
// command would take.
func (a *app) site(host string) (*site, error) {
	if host == thisComputer {
		dir, err := os.Getwd()
		if err != nil {
			return nil, fmt.Errorf("find the directory: %w", err)
		}
		return &site{shell: remote.Local{}, dial: new(net.Dialer).DialContext, w: where{Host: thisComputer}, dir: dir, here: true, leave: func() {}}, nil
	}
	line, w, err := a.connectWithSSH(host, "see or make kernels of")
	if err != nil {
		return nil, err
	}
	s := &site{shell: line, dial: line.Dial, w: w, dir: w.Path, leave: line.leave}
	if status, err := line.Status(a.ctx); err == nil {
		s.pages = pagesThere(status.Pages)
		if page, kept, ok := findPage(status, w); ok && s.dir == "" {
			s.dir = kept.Server.Dir
			s.pages = append([]holder.Page{page}, s.pages...)
		}
	}
	return s, nil
}

// String is how the site is spoken of.
func (s *site) String() string {
	if s.here {
		return "this computer"
	}
	return s.w.Host
}

// flag is what makes another command mean the same place.
func (s *site) flag() string { return " --host " + shellWord(s.w.Host) }

// server is the Jupyter that is to see the kernels: the one that a page here
// leads to, else the session meant, else the newest; nil: none runs.
func (s *site) server(ctx context.Context) (*jupyter.Server, error) {
	for _, page := range s.pages {
		if server := serverOf(page); server != nil && !page.Gone {
			return server, nil
		}
	}
	look := jupyter.Look{Session: s.w.Session, Path: s.w.Path}
	if s.here {
		look.Path = s.dir
	}
	host, err := jupyter.Probe(ctx, s, look)
	if err != nil {
		return nil, fmt.Errorf("look around on %s: %w", s, err)
	}
	name, _ := host.Choose(look)
	if server := host.Running(name); server != nil || s.w.Session != "" {
		return server, nil
	}
	return host.Newest(), nil
}

// dialer reaches one server.
func (s *site) dialer(server *jupyter.Server) func(context.Context) (net.Conn, error) {
	network, addr := server.Far()
	return func(ctx context.Context) (net.Conn, error) { return s.dial(ctx, network, addr) }
}

// forKernel is the server as package kernel needs it.
func forKernel(s *jupyter.Server) *kernel.Server {
	if s == nil {
		return nil
	}
	network, addr := s.Far()
	return &kernel.Server{PID: s.PID, Network: network, Addr: addr, BaseURL: s.BaseURL, Token: s.Token}
}
