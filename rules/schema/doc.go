// Package schema is the form of rule files: which keys there are, of which kind
// their values have to be, and how files in YAML are held against that. The
// schema for editors is made of the same table.
//
// Reading order: shape.go (the table), document.go (a file and its faults),
// tree.go (YAML held against the table), nearest.go (what was meant), editor.go
// (JSON Schema).
package schema
