package wholefile_test

import (
	"io"
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

// A rename leaves the old content to a reader that has the file open; writing into the file
// would not, and a power cut meanwhile would leave it empty.
func TestAReaderOfTheOldContentReadsAllOfIt(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "STOP")
	for _, text := range []string{"old content", "new"} {
		before, err := os.Open(path)
		if err := wholefile.Write(path, text); err != nil {
			t.Fatal(err)
		}
		if err != nil {
			continue // the first round has no old content
		}
		defer before.Close()
		if got, err := io.ReadAll(before); string(got) != "old content" || err != nil {
			t.Errorf("the old file holds %q, %v", got, err)
		}
	}
}

func TestATouchedFileIsMadeOnceAndKeepsItsContent(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "demo")
	for _, want := range []string{"", "kept"} {
		if err := wholefile.Touch(path); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); string(got) != want || err != nil {
			t.Errorf("read %q, %v; want %q", got, err, want)
		}
		if err := wholefile.Write(path, "kept"); err != nil {
			t.Fatal(err)
		}
	}
	expectOnly(t, path)
}
