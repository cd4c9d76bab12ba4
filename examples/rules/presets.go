// Package presets embeds the rule files of this folder in the binary, for the demo.
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

// Files returns the rule files, without their tests.
func Files() []rules.File {
	entries, _ := fs.ReadDir(folder, ".") // reading an embedded folder cannot fail
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
