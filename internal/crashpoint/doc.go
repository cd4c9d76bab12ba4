// Package crashpoint names the places between two steps of a decision's life at
// which a process may die. In a build with the tag crashpoints a process can be
// told to die at one of them, which the crash campaign does again and again; in
// every other build the calls are nothing.
package crashpoint
