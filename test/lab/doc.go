// Package lab builds a small network of real machines for one test: a laptop,
// gateways and hosts, each in Linux namespaces of its own (network, mounts,
// processes, hostname) with its own address, accounts and OpenSSH server.
// Everything lives in memory and ends with the test, even one that is killed.
// It knows nothing of nbremote but how to start the program. Needs root.
package lab
