"""How clients speak to the server: each module adds the endpoints of one protocol."""
