// Package tarstream reads, writes, changes and extracts tar archives as
// streams of bytes that are pushed through it.
//
// A [Parser] is an io.WriteCloser: the bytes of an archive go in, in pieces of
// any size, and a [Visitor] is called for each member and its content. Visitors
// are a [Writer], which makes an archive again, an [Injector], which changes
// members on the way to another Visitor, [Drop] and [Rename], which do
// less, an [Extractor], which makes files, and whatever the caller writes; [Tee]
// feeds several of them. Content is never copied between them.
//
// What is written, and what [NewParser] reads, is ustar as PostgreSQL writes it
// (src/port/tar.c), which is all that a server sends. [NewLenientParser] reads
// what tar makes in other hands. Sparse files and members other than files,
// directories and symbolic links are errors for both.
//
// Archives are taken to be hostile: see [CheckName], [CheckLink] and [Extractor].
package tarstream
