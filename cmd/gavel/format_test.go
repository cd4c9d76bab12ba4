package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestAFolderOfANewerFormatIsRefused: serve ends with both numbers and what to do,
// and writes nothing into the folder.
func TestAFolderOfANewerFormatIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "format"), []byte("2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got := gavelSays(t, oneAccount, "serve", "--listen", "127.0.0.1:0", "--nats-listen", "off", "--data-dir", dir)
	if got.code == exitOK || !strings.Contains(got.err, "its format is 2, and this gavel knows formats up to 1; start the newer gavel again") {
		t.Errorf("exit code %d: %s", got.code, got.err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("the folder holds %v (%v), want the file format only", left, err)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "format")); err != nil || string(text) != "2\n" {
		t.Errorf("the file format holds %q (%v)", text, err)
	}
}
