// A window whose editor is far away.

/** Puts off each message between the page and the editor's server by half of `remote.delay`. */
export async function slow(page, remote) {
  await page.routeWebSocket(/./, (socket) => {
    const server = socket.connectToServer();
    const later = (send) => (message) => setTimeout(() => send(message), remote.delay / 2);
    socket.onMessage(later((message) => server.send(message)));
    server.onMessage(later((message) => socket.send(message)));
  });
}
