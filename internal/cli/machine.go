package cli

import (
	"fmt"
	"strings"

	"nbremote/jupyter"
)

// machine says in one line what the host has left: GPUs, memory, disk.
func machine(h *jupyter.Machine) string {
	parts := []string{}
	if gpus := gpus(h.GPUs); gpus != "" {
		parts = append(parts, gpus)
	}
	if m := h.Memory; m.Total > 0 {
		parts = append(parts, fmt.Sprintf("memory %d/%d GB", gigabytes(m.Total-m.Available), gigabytes(m.Total)))
	}
	if h.Disk.Total > 0 {
		parts = append(parts, fmt.Sprintf("home %d %% full", h.Disk.Full()))
	}
	return strings.Join(parts, "; ")
}

// gigabytes rounds to whole ones, as the makers of memory count them.
func gigabytes(bytes int64) int64 { return (bytes + 1<<29) >> 30 }

func gpus(all []jupyter.GPU) string {
	parts := []string{}
	for _, g := range all {
		parts = append(parts, gpu(g))
	}
	if len(parts) > 4 {
		parts = append(parts[:4], fmt.Sprintf("and %d more", len(parts)-4))
	}
	return strings.Join(parts, ", ")
}

// gpu is "GPU 0 H100 96 % 71/80 GB (not yours)", or that it is free.
func gpu(g jupyter.GPU) string {
	name := fmt.Sprintf("GPU %d", g.Index)
	if !g.Mine && !g.Foreign && g.Percent <= 0 {
		return name + " free"
	}
	if g.Name != "" {
		name += " " + g.Name
	}
	if g.Percent >= 0 {
		name += fmt.Sprintf(" %d %%", g.Percent)
	}
	if g.Total > 0 {
		name += fmt.Sprintf(" %d/%d GB", (g.Used+512)/1024, (g.Total+512)/1024)
	}
	if g.Foreign && !g.Mine {
		name += " (not yours)"
	}
	return name
}
