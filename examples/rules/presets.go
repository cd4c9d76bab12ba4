// Package presets carries the rule files of this folder into the binary, for
// the demo.
package presets

import (
	"embed"
	"io/fs"
	"path"
	"strings"

	"gavel/rules"
)

//go:embed *.yaml
var folder embed.FS

// Files returns the rule files, without those of their tests.
func Files() []rules.File {
	entries, _ := fs.ReadDir(folder, ".") // what is embedded can be read
	var files []rules.File
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), "_test.yaml") {
			continue
		}
		text, _ := folder.ReadFile(path.Clean(e.Name()))
		files = append(files, rules.File{Name: e.Name(), Text: string(text)})
	}
	return files
}
