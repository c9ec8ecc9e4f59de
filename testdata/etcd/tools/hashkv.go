package tools

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strconv"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

type hashAnswer struct {
	Asked           int64  `json:"asked"`
	Revision        int64  `json:"revision"`
	Hash            uint32 `json:"hash"`
	CompactRevision int64  `json:"compact_revision"`
	Refused         string `json:"refused"`
}

// HashKV asks one member for its HashKV at each of the revisions that are its arguments: on one connection, which etcdctl makes
// anew for each. It prints one JSON object a line: what was asked, and the answer or the words in which it was refused.
func HashKV(args []string) int {
	flags := flag.NewFlagSet("hashkv", flag.ExitOnError)
	var where connection
	where.register(flags)
	flags.Parse(args)
	if err := hashKV(where, flags.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "hashkv:", err)
		return 1
	}
	return 0
}

func hashKV(where connection, revisions []string) error {
	client, err := where.open()
	if err != nil {
		return err
	}
	defer client.Close()
	member := pb.NewMaintenanceClient(client.ActiveConnection())
	out := json.NewEncoder(os.Stdout)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	for _, revision := range revisions {
		asked, err := strconv.ParseInt(revision, 10, 64)
		if err != nil {
			return err
		}
		answer, err := member.HashKV(ctx, &pb.HashKVRequest{Revision: asked})
		if refusal, ok := status.FromError(err); ok && refusal.Code() == codes.OutOfRange {
			out.Encode(hashAnswer{Asked: asked, Refused: refusal.Message()})
			continue
		}
		if err != nil {
			return err
		}
		out.Encode(hashAnswer{asked, answer.Header.Revision, answer.Hash, answer.CompactRevision, ""})
	}
	return nil
}
