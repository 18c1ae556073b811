// Package plague holds the words of the build farm: jobs, arch jobs, attempts,
// targets, builders, users and events, and the two tables that say which state
// may follow which. It imports only the standard library, decides nothing and
// does nothing; the rooms below internal/ do.
//
// The package promises no compatibility to other programs. The protocols
// (docs/protocol.md) do.
package plague
