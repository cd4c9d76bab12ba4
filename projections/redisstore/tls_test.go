package redisstore_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gavel/internal/redistest"
	"gavel/projections"
	"gavel/projections/redisstore"
)

func TestOverTLS(t *testing.T) {
	t.Parallel()
	cert, key, pool := certificate(t)
	server := redistest.Start(t, "--tls-cluster", "no", "--tls-auth-clients", "no",
		"--tls-cert-file", cert, "--tls-key-file", key, "--tls-port", redistest.TLSPort)
	url := strings.Replace(server.TLSURL(), "127.0.0.1", "localhost", 1)

	s := openWith(t, redisstore.Options{URL: url, TLS: &tls.Config{RootCAs: pool}, Lanes: 1})
	fill(t, s)
	if err := s.Save(t.Context(), 0, []projections.Write{create(1)}); err != nil {
		t.Error(err)
	}

	if _, err := redisstore.Open(t.Context(), redisstore.Options{URL: url, Lanes: 1}); err == nil {
		t.Error("a server with an untrusted certificate is accepted")
	}
}

// certificate makes a certificate for localhost and returns its files and the pool that trusts it.
func certificate(t *testing.T) (certFile, keyFile string, trust *x509.CertPool) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
		DNSNames:     []string{"localhost"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA:         true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, der []byte) (path string, text []byte) {
		path, text = filepath.Join(t.TempDir(), name), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return path, text
	}
	certFile, text := write("cert.pem", "CERTIFICATE", der)
	keyFile, _ = write("key.pem", "PRIVATE KEY", secret)
	trust = x509.NewCertPool()
	trust.AppendCertsFromPEM(text)
	return certFile, keyFile, trust
}
