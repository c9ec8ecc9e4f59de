package tools

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// Bulk puts many keys quickly: prefix00000000, prefix00000001, ... with values that follow from the key alone, so that a
// reader can tell a wrong value. With -forever it starts over until it gets SIGTERM or SIGINT, for tests that want a
// writer beside them. It prints one JSON object: {"puts":N,"revision":R}.
func Bulk(args []string) int {
	flags := flag.NewFlagSet("bulk", flag.ExitOnError)
	var where connection
	where.register(flags)
	prefix := flags.String("prefix", "bulk/", "what every key starts with")
	first := flags.Int("first", 0, "number of the first key")
	count := flags.Int("count", 1000, "how many keys")
	size := flags.Int("value-bytes", 64, "length of every value")
	ops := flags.Int("ops-per-txn", 1, "puts in one transaction; 1 is a plain put")
	workers := flags.Int("workers", 64, "requests in flight")
	forever := flags.Bool("forever", false, "start over until stopped")
	flags.Parse(args)
	if err := bulk(where, *prefix, *first, *count, *size, max(*ops, 1), max(*workers, 1), *forever); err != nil {
		fmt.Fprintln(os.Stderr, "bulk:", err)
		return 1
	}
	return 0
}

func bulk(where connection, prefix string, first, count, size, ops, workers int, forever bool) error {
	client, err := where.open()
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)

	var puts, revision atomic.Int64
	batches := make(chan int)
	var busy sync.WaitGroup
	for range workers {
		busy.Add(1)
		go func() {
			defer busy.Done()
			for from := range batches {
				to := min(from+ops, first+count)
				reached, err := putRange(ctx, client, prefix, from, to, size)
				if err != nil {
					cancel(err)
					return
				}
				puts.Add(int64(to - from))
				for {
					known := revision.Load()
					if reached <= known || revision.CompareAndSwap(known, reached) {
						break
					}
				}
			}
		}()
	}
feed:
	for again := true; again; again = forever {
		for from := first; from < first+count; from += ops {
			select {
			case batches <- from:
			case <-stop:
				break feed
			case <-ctx.Done():
				break feed
			}
		}
	}
	close(batches)
	busy.Wait()
	if err := context.Cause(ctx); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]int64{"puts": puts.Load(), "revision": revision.Load()})
}

func putRange(ctx context.Context, client *clientv3.Client, prefix string, from, to, size int) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if to-from == 1 {
		key := bulkKey(prefix, from)
		response, err := client.Put(ctx, key, bulkValue(key, size))
		if err != nil {
			return 0, err
		}
		return response.Header.Revision, nil
	}
	puts := make([]clientv3.Op, 0, to-from)
	for number := from; number < to; number++ {
		key := bulkKey(prefix, number)
		puts = append(puts, clientv3.OpPut(key, bulkValue(key, size)))
	}
	response, err := client.Txn(ctx).Then(puts...).Commit()
	if err != nil {
		return 0, err
	}
	return response.Header.Revision, nil
}

func bulkKey(prefix string, number int) string {
	return fmt.Sprintf("%s%08d", prefix, number)
}

// bulkValue is the key, a colon, and letters of a small generator seeded by the key: neither empty nor compressible.
func bulkValue(key string, size int) string {
	value := make([]byte, 0, size+len(key)+1)
	value = append(append(value, key...), ':')
	state := uint64(14695981039346656037)
	for _, letter := range []byte(key) {
		state = (state ^ uint64(letter)) * 1099511628211
	}
	for len(value) < size {
		state ^= state << 13
		state ^= state >> 7
		state ^= state << 17
		value = strconv.AppendUint(value, state, 36)
	}
	return string(value[:size])
}
