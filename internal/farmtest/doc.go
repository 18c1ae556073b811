// Package farmtest is a whole farm in one process, for tests: the real server,
// the real builders and the real supervisors over a real SQLite file, with only
// the network and the sandbox made up. It runs in a testing/synctest bubble,
// where hours pass in milliseconds.
//
// A schedule is what users, faults and machines do, drawn from a seed: submits
// and kills, lost, doubled, delayed and cut messages, processes that die in the
// middle of any statement, file operation or message, machines that reboot, two
// leaders at once, builders that lie. When it is over the farm is left alone
// until every job rests, and the invariants of the design are held against what
// is in the database, the repositories and on the builders' disks. The seed
// fixes the faults, not the interleaving.
package farmtest
