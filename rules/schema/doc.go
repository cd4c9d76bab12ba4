// Package schema defines the form of rule files: which keys exist, which kind
// of value each has, and how a file in YAML is checked against that. The JSON
// Schema for editors is generated from the same table.
//
// Reading order: shape.go (the table), document.go (a file and its faults), tree.go (YAML checked
// against the table), nearest.go (suggestions for misspelled words), editor.go (JSON Schema).
package schema
