package bus_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"gavel/internal/bus"
)

// authority signs certificates for 127.0.0.1.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	a := &authority{t: t, dir: t.TempDir()}
	a.cert, a.key = a.issue("ca", &x509.Certificate{IsCA: true, KeyUsage: x509.KeyUsageCertSign, BasicConstraintsValid: true})
	return a
}

func (a *authority) path(name string) string { return filepath.Join(a.dir, name) }

// issue writes name.pem and name.key.
func (a *authority) issue(name string, c *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	a.must(err)
	c.SerialNumber, c.Subject = big.NewInt(time.Now().UnixNano()), pkix.Name{CommonName: name}
	c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, signer)
	a.must(err)
	rawKey, err := x509.MarshalECPrivateKey(key)
	a.must(err)
	a.write(name+".pem", "CERTIFICATE", der)
	a.write(name+".key", "EC PRIVATE KEY", rawKey)
	cert, err := x509.ParseCertificate(der)
	a.must(err)
	return cert, key
}

func (a *authority) write(name, kind string, der []byte) {
	a.t.Helper()
	a.must(os.WriteFile(a.path(name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
}

func (a *authority) must(err error) {
	a.t.Helper()
	if err != nil {
		a.t.Fatal(err)
	}
}

func TestExternalServerWithMutualTLS(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	a.issue("server", &x509.Certificate{})
	a.issue("client", &x509.Certificate{})
	pair, err := tls.LoadX509KeyPair(a.path("server.pem"), a.path("server.key"))
	a.must(err)
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoLog: true,
		TLS: true, TLSConfig: &tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert},
	})
	a.must(err)
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(patience) {
		t.Fatal("server did not start")
	}

	b := openConfig(t, bus.Config{
		URL: s.ClientURL(), Replicas: 1, Lanes: 1,
		TLS: bus.TLS{CA: a.path("ca.pem"), Cert: a.path("client.pem"), Key: a.path("client.key")},
	})
	mustAppend(t, b, "a=1")
}

func TestFilesThatAreMissingAreNamed(t *testing.T) {
	t.Parallel()
	s := foreignServer(t)
	missing := filepath.Join(t.TempDir(), "missing")
	for name, c := range map[string]bus.Config{
		"credentials": {Credentials: missing},
		"authority":   {TLS: bus.TLS{CA: missing}},
		"certificate": {TLS: bus.TLS{Cert: missing, Key: missing}},
	} {
		c.URL = s.ClientURL()
		if _, err := bus.Open(testContext(t), c, slog.New(slog.DiscardHandler)); err == nil {
			t.Errorf("missing %s was taken", name)
		}
	}
}
