package server

import "plague"

// LogDir is where the logs of an arch job's attempt are in the result tree:
// what mails show the end of.
func LogDir(j plague.Job, a plague.ArchJob) string { return attemptDir(j, a.Arch, a.Run, a.Attempt) }
