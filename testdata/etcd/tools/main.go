package tools

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
)

// Programs are the three of etcd, as each minor links them.
type Programs struct {
	Server  func(args []string)
	Control func()
	Utility *cobra.Command
	// ReadsAPI tells that this minor's etcdctl obeys the variable ETCDCTL_API.
	ReadsAPI bool
}

// requireAPI3 does what etcdctl's main does with the variable; the tool of the old API is not linked.
func requireAPI3() {
	version := os.Getenv("ETCDCTL_API")
	os.Unsetenv("ETCDCTL_API")
	if version != "" && version != "3" {
		fmt.Fprintf(os.Stderr, "unsupported API version: %v\n", version)
		os.Exit(1)
	}
}

// Main runs the program that the name of the executable asks for.
func Main(programs Programs) {
	switch name := filepath.Base(os.Args[0]); name {
	case "etcd":
		programs.Server(os.Args)
	case "etcdctl":
		if programs.ReadsAPI {
			requireAPI3()
		}
		programs.Control()
	case "etcdutl":
		cobra.EnablePrefixMatching = true
		programs.Utility.SetHelpTemplate(`{{.UsageString}}`)
		if err := programs.Utility.Execute(); err != nil {
			// As etcdutl's own main does, though the library has said it already.
			fmt.Fprintln(os.Stderr, "Error:", err)
			os.Exit(1)
		}
	case "bbolt-check":
		os.Exit(Check(os.Args[1:]))
	case "bbolt-copy":
		os.Exit(Copy(os.Args[1:]))
	case "bulk":
		os.Exit(Bulk(os.Args[1:]))
	case "dump":
		os.Exit(Dump(os.Args[1:]))
	case "hashkv":
		os.Exit(HashKV(os.Args[1:]))
	default:
		fmt.Fprintf(os.Stderr, "%s: call me etcd, etcdctl, etcdutl, bbolt-check, bbolt-copy, bulk, dump or hashkv\n", name)
		os.Exit(2)
	}
}
