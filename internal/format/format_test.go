package format_test

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gavel/internal/format"
)

// contents are the files of a folder.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, entry := range entries {
		text, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		if err != nil {
			t.Fatal(err)
		}
		files[entry.Name()] = string(text)
	}
	return files
}

// folder is a data directory; no text leaves it without a number.
func folder(t *testing.T, number string) string {
	t.Helper()
	dir := t.TempDir()
	if number != "" {
		if err := os.WriteFile(filepath.Join(dir, format.FileName), []byte(number), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestAFolderGetsTheNumber(t *testing.T) {
	t.Parallel()
	for name, before := range map[string]string{"without a number": "", "of this format": strconv.Itoa(format.Current) + "\n"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := folder(t, before)
			for range 2 {
				if err := format.Claim(dir); err != nil {
					t.Fatal(err)
				}
			}
			want := map[string]string{format.FileName: strconv.Itoa(format.Current) + "\n"}
			if diff := cmp.Diff(want, contents(t, dir)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestANewerFolderIsRefusedAndLeftAlone(t *testing.T) {
	t.Parallel()
	newer := strconv.Itoa(format.Current + 1)
	dir := folder(t, newer+"\n")
	before := contents(t, dir)
	err := format.Claim(dir)
	if !errors.Is(err, format.ErrNewer) || !strings.Contains(err.Error(), newer) ||
		!strings.Contains(err.Error(), strconv.Itoa(format.Current)) {
		t.Errorf("got %v, want an error with both numbers", err)
	}
	if diff := cmp.Diff(before, contents(t, dir)); diff != "" {
		t.Error(diff)
	}
}

func TestAnUnreadableNumberIsRefused(t *testing.T) {
	t.Parallel()
	for _, number := range []string{"x", "0", "-1", "\n", "1.5"} {
		dir := folder(t, number)
		before := contents(t, dir)
		if err := format.Claim(dir); err == nil || errors.Is(err, format.ErrNewer) {
			t.Errorf("%q: got %v", number, err)
		}
		if diff := cmp.Diff(before, contents(t, dir)); diff != "" {
			t.Error(diff)
		}
	}
}
