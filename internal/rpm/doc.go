// Package rpm knows what an RPM is called, which of two is newer, what the
// header of an RPM file says, and for which arches a source package is built.
// It starts no process and believes nothing: RPM files come from packagers and
// from builders, and their names become names of files.
package rpm
