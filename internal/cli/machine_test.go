package cli

import (
	"testing"

	"nbremote/jupyter"
)

func TestMachine(t *testing.T) {
	h := &jupyter.Machine{
		GPUs: []jupyter.GPU{
			{Index: 0, Name: "H100", Percent: 96, Used: 72704, Total: 81920, Foreign: true},
			{Index: 1, Name: "H100", Used: 4, Total: 81920},
			{Index: 2, Name: "A100", Percent: -1, Mine: true},
		},
		Memory: jupyter.Memory{Total: 256 << 30, Available: 168 << 30},
		Disk:   jupyter.Disk{Total: 100, Available: 39},
	}
	want := "GPU 0 H100 96 % 71/80 GB (not yours), GPU 1 free, GPU 2 A100; memory 88/256 GB; home 61 % full"
	if got := machine(h); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := machine(&jupyter.Machine{}); got != "" {
		t.Errorf("nothing known: %q", got)
	}
}
