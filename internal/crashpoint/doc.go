// Package crashpoint names the places between two steps of processing a
// decision where a process may crash. A build with the tag crashpoints can be
// configured to crash at one of them, which the crash campaign does repeatedly;
// in every other build the calls do nothing.
package crashpoint
