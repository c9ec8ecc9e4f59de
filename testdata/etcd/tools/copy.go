package tools

import (
	"flag"
	"fmt"
	"os"
	"time"

	bolt "go.etcd.io/bbolt"
)

// Copy writes the contents of one database into a new one with another page size or with its freelist in the file, as
// servers on other platforms have them.
func Copy(args []string) int {
	flags := flag.NewFlagSet("bbolt-copy", flag.ExitOnError)
	pageSize := flags.Int("page-size", 4096, "page size of the new database")
	freelist := flags.Bool("freelist", false, "write the freelist into the new database")
	flags.Parse(args)
	if flags.NArg() != 2 {
		fmt.Fprintln(os.Stderr, "usage: bbolt-copy [flags] FROM TO")
		return 2
	}
	if err := copyDatabase(flags.Arg(0), flags.Arg(1), *pageSize, *freelist); err != nil {
		fmt.Fprintln(os.Stderr, "bbolt-copy:", err)
		return 1
	}
	return 0
}

func copyDatabase(from, to string, pageSize int, freelist bool) error {
	if _, err := os.Stat(to); err == nil {
		return fmt.Errorf("%s exists", to)
	}
	source, err := bolt.Open(from, 0o600, &bolt.Options{ReadOnly: true, Timeout: 10 * time.Second})
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := bolt.Open(to, 0o600, &bolt.Options{PageSize: pageSize, NoFreelistSync: !freelist})
	if err != nil {
		return err
	}
	err = source.View(func(read *bolt.Tx) error {
		return read.ForEach(func(name []byte, old *bolt.Bucket) error {
			// A transaction a bucket leaves free pages behind, so that there is a freelist to write.
			return target.Update(func(write *bolt.Tx) error {
				bucket, err := write.CreateBucket(name)
				if err != nil {
					return err
				}
				// Keys come in order: full pages, as etcd writes its own.
				bucket.FillPercent = 0.9
				return old.ForEach(bucket.Put)
			})
		})
	})
	if err != nil {
		target.Close()
		return err
	}
	return target.Close()
}
