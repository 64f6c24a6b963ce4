package boltstore

// settle makes durable what can be read, after a commit that failed and before
// anything is said of it or built on it. If only the wait for its meta page has
// failed, the commit can be read; but the system takes that page for written,
// and no later wait writes it. A power cut would then bring back the commit
// before it, whose pages the next one writes over. So the meta pages are written
// once more, as they are.
func (s *Store) settle() error {
	if !s.unsettled {
		return nil
	}
	metas := make([]byte, 2*s.db.Info().PageSize)
	if _, err := s.file.ReadAt(metas, 0); err != nil {
		return err
	}
	if _, err := s.file.WriteAt(metas, 0); err != nil {
		return err
	}
	if err := s.file.Sync(); err != nil {
		return err
	}
	s.unsettled = false
	return nil
}
