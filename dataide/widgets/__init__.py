"""What people see: the hub, the protocol and the panels. The only room that imports anywidget and traitlets."""
