package tools

import (
	"crypto/tls"
	"flag"
	"strings"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// connection holds the flags that say where and as whom; their names are etcdctl's.
type connection struct {
	endpoints string
	user      string
	tls       transport.TLSInfo
}

func (c *connection) register(flags *flag.FlagSet) {
	flags.StringVar(&c.endpoints, "endpoints", "127.0.0.1:2379", "endpoints, separated by commas")
	flags.StringVar(&c.user, "user", "", "name:password")
	flags.StringVar(&c.tls.TrustedCAFile, "cacert", "", "file with the certificate authority")
	flags.StringVar(&c.tls.CertFile, "cert", "", "file with the client's certificate")
	flags.StringVar(&c.tls.KeyFile, "key", "", "file with the client's key")
}

func (c *connection) open() (*clientv3.Client, error) {
	var secure *tls.Config
	if !c.tls.Empty() || c.tls.TrustedCAFile != "" {
		var err error
		if secure, err = c.tls.ClientConfig(); err != nil {
			return nil, err
		}
	}
	config := clientv3.Config{
		Endpoints:   strings.Split(c.endpoints, ","),
		TLS:         secure,
		DialTimeout: 10 * time.Second,
		Logger:      zap.NewNop(),
	}
	config.Username, config.Password, _ = strings.Cut(c.user, ":")
	return clientv3.New(config)
}
