package cli

// kernelCmd is what is done about kernels on a host.
type kernelCmd struct {
	Add       kernelAddCmd       `cmd:"" help:"Make a Python environment a kernel, and prove it."`
	List      kernelListCmd      `cmd:"" help:"List the kernels, those that run, and the environments that are none yet."`
	Remove    kernelRemoveCmd    `cmd:"" help:"Remove a kernel; its environment stays."`
	Restart   kernelRestartCmd   `cmd:"" help:"Restart a running kernel."`
	Interrupt kernelInterruptCmd `cmd:"" help:"Interrupt a running kernel, as Ctrl-C would."`
	Stop      kernelStopCmd      `cmd:"" help:"End a running kernel."`
	Connect   kernelConnectCmd   `cmd:"" help:"Print a connection file for a running kernel, for consoles and editors here."`

	Proxy kernelProxyCmd `cmd:"" hidden:""`
}

// onHost is the flag that all of them have.
type onHost struct {
	Host string `help:"HOST, HOST/NAME or HOST:DIR, or . for this computer; left out: the last one used here." placeholder:"HOST" predictor:"host"`
}
