package wholefile_test

import (
	"os"
	"path/filepath"
	"testing"

	"gavel/internal/wholefile"
)

func TestAFileIsReplacedAndNothingElseIsLeft(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "format")
	for _, text := range []string{"a longer first content\n", "2\n"} {
		if err := wholefile.Write(path, text); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); string(got) != text {
			t.Errorf("read %q, %v; want %q", got, err, text)
		}
	}
	expectOnly(t, path)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("stat: %v, %v; want mode 0600", info, err)
	}
}

func TestAWriteThatFailsLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "key") // where a file is to be
	if err := os.MkdirAll(filepath.Join(folder, "inside"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := wholefile.Write(folder, "text"); err == nil {
		t.Error("a file replaced a folder that is not empty")
	}
	expectOnly(t, folder)
}

// expectOnly requires path to be the only entry of its folder.
func expectOnly(t *testing.T, path string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 || entries[0].Name() != filepath.Base(path) {
		t.Errorf("the folder holds %v, %v", entries, err)
	}
}
