package rpm

import (
	"math"
	"slices"
	"strings"
	"time"
)

// A Header is what an RPM file says of itself, without its payload. What it
// says is checked for form, and against the digests in the file; whether it is
// true is another question.
type Header struct {
	Summary       string
	License       string
	Vendor        string
	BuildTime     time.Time // UTC; zero: it does not say
	Size          int64     // of the installed files, bytes
	Signed        bool      // carries an OpenPGP signature, which nobody has verified
	PayloadDigest string    // SHA-256 of the compressed payload, hexadecimal; empty: old rpm
	PayloadOffset int64     // where in the file the payload begins

	nevra       NEVRA
	source      bool
	sourceRPM   string
	payloadSize int64 // bytes; -1: it does not say
	algorithm   uint64
	main        *section
}

// Tags of the main header, from rpm's rpmtag.h.
const (
	tagName           = 1000
	tagVersion        = 1001
	tagRelease        = 1002
	tagEpoch          = 1003
	tagSummary        = 1004
	tagBuildTime      = 1006
	tagSize           = 1009
	tagVendor         = 1011
	tagLicense        = 1014
	tagArch           = 1022
	tagSourceRPM      = 1044
	tagProvideName    = 1047
	tagRequireFlags   = 1048
	tagRequireName    = 1049
	tagRequireVersion = 1050
	tagNoSource       = 1051
	tagNoPatch        = 1052
	tagExcludeArch    = 1059
	tagExclusiveArch  = 1061
	tagBuildArchs     = 1089
	tagProvideFlags   = 1112
	tagProvideVersion = 1113
	tagLongSize       = 5009
	tagPayloadDigest  = 5092
	tagPayloadAlgo    = 5093
)

// The kernel provides 40,000 symbols in some distributions; nothing is known
// to have more.
const (
	maxDependencies = 1 << 18
	maxArches       = 1 << 10
)

var mainRules = []rule{
	{tagName, shapeText, 1}, {tagVersion, shapeText, 1}, {tagRelease, shapeText, 1}, {tagEpoch, shapeNumber, 1},
	{tagSummary, shapeText, 1 << 10}, {tagVendor, shapeText, 1}, {tagLicense, shapeText, 1},
	{tagBuildTime, shapeNumber, 1}, {tagSize, shapeNumber, 1}, {tagLongSize, shapeNumber, 1},
	{tagArch, shapeText, 1}, {tagSourceRPM, shapeText, 1},
	{tagExcludeArch, shapeTexts, maxArches}, {tagExclusiveArch, shapeTexts, maxArches}, {tagBuildArchs, shapeTexts, maxArches},
	{tagRequireName, shapeTexts, maxDependencies}, {tagRequireVersion, shapeTexts, maxDependencies},
	{tagRequireFlags, shapeNumber, maxDependencies},
	{tagProvideName, shapeTexts, maxDependencies}, {tagProvideVersion, shapeTexts, maxDependencies},
	{tagProvideFlags, shapeNumber, maxDependencies},
	{tagPayloadDigest, shapeTexts, 1}, {tagPayloadAlgo, shapeNumber, 1},
}

// NEVRA names the RPM. The arch of a source package is src, or nosrc when
// sources are left out, whatever machine it was made on.
func (h *Header) NEVRA() NEVRA { return h.nevra }

// IsSource says whether this is a source package: it names none that it was
// made from (rpm's rule), and its lead agrees.
func (h *Header) IsSource() bool { return h.source }

// SourceRPM is the file name of the source package it was built from; empty for
// a source package.
func (h *Header) SourceRPM() string { return h.sourceRPM }

// BuildArchs, ExclusiveArch and ExcludeArch are the lists of a source package's
// spec file, macros expanded; nil: the spec has no such line.
func (h *Header) BuildArchs() []string    { return h.main.texts(tagBuildArchs) }
func (h *Header) ExclusiveArch() []string { return h.main.texts(tagExclusiveArch) }
func (h *Header) ExcludeArch() []string   { return h.main.texts(tagExcludeArch) }

// Arches are the three lists as the function Arches takes them.
func (h *Header) Arches() SourceArches {
	return SourceArches{BuildArch: h.BuildArchs(), ExclusiveArch: h.ExclusiveArch(), ExcludeArch: h.ExcludeArch()}
}

// Requires is what the RPM needs to be installed; of a source package, its
// BuildRequires. Those that rpm itself meets (RPMLib) are among them.
func (h *Header) Requires() []Dependency { return h.main.dependencies(requires) }

// Provides is what it offers to others.
func (h *Header) Provides() []Dependency { return h.main.dependencies(provides) }

// newHeader reads what the sections say; source is what the lead says.
func newHeader(source bool, signature, main *section) (*Header, error) {
	if err := main.checkShapes(mainRules); err != nil {
		return nil, err
	}
	for _, t := range []triple{requires, provides} {
		if err := main.checkDependencies(t); err != nil {
			return nil, err
		}
	}
	h := &Header{
		Summary: main.text(tagSummary), License: main.text(tagLicense), Vendor: main.text(tagVendor),
		Signed: slices.ContainsFunc(signatureTags, signature.has),
		source: source, sourceRPM: main.text(tagSourceRPM), main: main,
	}
	if at, ok := main.number(tagBuildTime); ok {
		h.BuildTime = time.Unix(int64(at&math.MaxUint32), 0).UTC()
	}
	size, _ := main.number(tagLongSize, tagSize)
	h.Size = int64(size & math.MaxInt64)
	if digest := main.texts(tagPayloadDigest); digest != nil {
		h.PayloadDigest = strings.ToLower(digest[0])
		h.algorithm, _ = main.number(tagPayloadAlgo)
	}
	return h, h.identify()
}

// identify reads and checks all that becomes part of a file's name or decides
// where the package goes.
func (h *Header) identify() error {
	epoch, _ := h.main.number(tagEpoch)
	if epoch > math.MaxInt32 {
		return damaged("its epoch %d is above 2147483647", epoch)
	}
	h.nevra = NEVRA{
		Name: h.main.text(tagName),
		EVR:  EVR{Epoch: int(epoch), Version: h.main.text(tagVersion), Release: h.main.text(tagRelease)},
		Arch: h.main.text(tagArch),
	}
	if h.source == h.main.has(tagSourceRPM) {
		return damaged("its lead and its header disagree on whether it is a source package")
	}
	if h.source {
		h.nevra.Arch = "src"
		if h.main.has(tagNoSource) || h.main.has(tagNoPatch) {
			h.nevra.Arch = "nosrc"
		}
	} else if n, err := ParseFilename(h.sourceRPM); err != nil || !n.IsSource() {
		return damaged("it says that it was built from %s, which is no source package", quote(h.sourceRPM))
	}
	if err := h.nevra.Valid(); err != nil {
		return damaged("%w", err)
	}
	if !h.source && h.nevra.IsSource() {
		return damaged("its arch is %s, and it is no source package", h.nevra.Arch)
	}
	for _, arch := range slices.Concat(h.BuildArchs(), h.ExclusiveArch(), h.ExcludeArch()) {
		if err := ValidArch(arch); err != nil {
			return damaged("%w", err)
		}
	}
	return nil
}
