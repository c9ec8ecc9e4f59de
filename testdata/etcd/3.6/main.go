// The servers and tools of etcd 3.6 in one executable, for the tests of etcd-snap: the name it is called by decides.
package main

import (
	"github.com/spf13/cobra"
	"go.etcd.io/etcd/etcdctl/v3/ctlv3"
	"go.etcd.io/etcd/etcdutl/v3/etcdutl"
	"go.etcd.io/etcd/server/v3/etcdmain"

	"etcd-snap.test/tools"
)

func main() {
	tools.Main(tools.Programs{Server: etcdmain.Main, Control: ctlv3.MustStart, Utility: utility()})
}

func utility() *cobra.Command {
	root := &cobra.Command{Use: "etcdutl", Short: "An administrative tool for etcd"}
	root.PersistentFlags().StringVarP(&etcdutl.OutputFormat, "write-out", "w", "simple", "fields, json, protobuf, simple or table")
	root.AddCommand(
		etcdutl.NewDefragCommand(),
		etcdutl.NewSnapshotCommand(),
		etcdutl.NewHashKVCommand(),
		etcdutl.NewVersionCommand(),
		etcdutl.NewCompletionCommand(),
		etcdutl.NewMigrateCommand())
	return root
}
