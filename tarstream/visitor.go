package tarstream

// Visitor receives an archive's members in order: for each one Member, any
// number of Content, one EndMember. The content adds up to the header's size.
// An error ends the archive: nothing is called after it.
type Visitor interface {
	// Member begins a member. The header is the caller's and valid until
	// EndMember returns; it must not be changed.
	Member(h *Header) error
	// Content is a part of the member, never empty. p is valid during the call.
	Content(p []byte) error
	// EndMember is called when all of the content was passed.
	EndMember() error
}

// Tee passes everything to each of the visitors, in their order.
func Tee(visitors ...Visitor) Visitor { return tee(visitors) }

type tee []Visitor

func (t tee) Member(h *Header) error {
	for _, v := range t {
		if err := v.Member(h); err != nil {
			return err
		}
	}
	return nil
}

func (t tee) Content(p []byte) error {
	for _, v := range t {
		if err := v.Content(p); err != nil {
			return err
		}
	}
	return nil
}

func (t tee) EndMember() error {
	for _, v := range t {
		if err := v.EndMember(); err != nil {
			return err
		}
	}
	return nil
}

// WriteFile passes a whole member to v. h.Size must be len(content).
func WriteFile(v Visitor, h *Header, content []byte) error {
	if err := v.Member(h); err != nil {
		return err
	}
	if len(content) > 0 {
		if err := v.Content(content); err != nil {
			return err
		}
	}
	return v.EndMember()
}
