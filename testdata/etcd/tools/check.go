// Package tools holds the small programs that the tests of etcd-snap need beside etcd's own: a judge of database files, a
// loader and a dump of everything a client can see.
package tools

import (
	"fmt"
	"io"
	"os"
	"time"

	bolt "go.etcd.io/bbolt"
)

// Check runs bbolt's own consistency check on each file and returns the exit code: 0 when all are sound, 1 when a problem
// was found, 2 when a file could not be looked at. Files are opened read-only; nothing is written.
func Check(args []string) int {
	if len(args) == 0 {
		fmt.Fprintln(os.Stderr, "usage: bbolt-check FILE...")
		return 2
	}
	code := 0
	for _, path := range args {
		found, err := checkFile(path, os.Stdout)
		switch {
		case err != nil:
			fmt.Fprintf(os.Stderr, "%s: %v\n", path, err)
			code = 2
		case found > 0 && code == 0:
			code = 1
		}
	}
	return code
}

func checkFile(path string, out io.Writer) (found int, err error) {
	// bbolt answers structural damage at opening with a panic when the freelist is not in the file. A panic in the
	// goroutine of Check itself cannot be caught before bbolt 1.5: there the process dies, which is a refusal as well.
	defer func() {
		if damage := recover(); damage != nil {
			found++
			fmt.Fprintf(out, "%s: %v\n", path, damage)
		}
	}()
	if _, err := os.Stat(path); err != nil {
		return 0, err
	}
	db, err := bolt.Open(path, 0o600, &bolt.Options{
		ReadOnly:        true,
		PreLoadFreelist: true,
		Timeout:         10 * time.Second,
	})
	if err != nil {
		return 0, err
	}
	defer db.Close()
	err = db.View(func(tx *bolt.Tx) error {
		for problem := range tx.Check() {
			found++
			fmt.Fprintf(out, "%s: %v\n", path, problem)
		}
		return nil
	})
	return found, err
}
