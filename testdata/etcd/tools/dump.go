package tools

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

type dumpedKey struct {
	Key         []byte `json:"key"`
	CreateRev   int64  `json:"create_revision"`
	ModRev      int64  `json:"mod_revision"`
	Version     int64  `json:"version"`
	Lease       string `json:"lease"`
	ValueBytes  int    `json:"value_bytes"`
	ValueSHA256 string `json:"value_sha256"`
}

// Dump prints every key that a client sees at one revision, one JSON object a line in key order, values as length and
// SHA-256, so that two clusters can be compared line by line. The first line is {"revision":R}.
func Dump(args []string) int {
	flags := flag.NewFlagSet("dump", flag.ExitOnError)
	var where connection
	where.register(flags)
	revision := flags.Int64("rev", 0, "revision to read at; 0 is the current one")
	flags.Parse(args)
	if err := dump(where, *revision); err != nil {
		fmt.Fprintln(os.Stderr, "dump:", err)
		return 1
	}
	return 0
}

func dump(where connection, revision int64) error {
	client, err := where.open()
	if err != nil {
		return err
	}
	defer client.Close()
	out := json.NewEncoder(os.Stdout)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	for from, started := "\x00", false; ; {
		// 32 values of 1.5 MB are the most that one answer can hold.
		answer, err := client.Get(ctx, from, clientv3.WithFromKey(), clientv3.WithLimit(32), clientv3.WithRev(revision))
		if err != nil {
			return err
		}
		if !started {
			started = true
			if revision == 0 {
				revision = answer.Header.Revision
			}
			out.Encode(map[string]int64{"revision": revision})
		}
		for _, kv := range answer.Kvs {
			out.Encode(dumpedKey{
				Key: kv.Key, CreateRev: kv.CreateRevision, ModRev: kv.ModRevision, Version: kv.Version,
				Lease: fmt.Sprintf("%x", kv.Lease), ValueBytes: len(kv.Value), ValueSHA256: fmt.Sprintf("%x", sha256.Sum256(kv.Value)),
			})
		}
		if !answer.More || len(answer.Kvs) == 0 {
			return nil
		}
		from = string(answer.Kvs[len(answer.Kvs)-1].Key) + "\x00"
	}
}
