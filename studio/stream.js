// The page's side of stream_by_http.py: a WebSocket for Streamlit that goes by plain requests where no websocket gets through.
(() => {
  if (location.hash === "#let-in") history.replaceState(null, "", location.pathname + location.search)
  const Socket = window.WebSocket
  let noSockets = false
  const OPENS_WITHIN_MS = 5000
  const TRIES = 5
  const ANSWERS_WITHIN_MS = 40000 // the app does after 20 seconds at most; a proxy may have lost it
  const CONNECTING = 0, OPEN = 1, CLOSED = 3
  const HIDDEN_MS = 5000
  const wait = ms => new Promise(done => setTimeout(done, ms))
  const shownWithin = ms => new Promise(done => {
    const end = () => {
      document.removeEventListener("visibilitychange", end)
      done()
    }
    document.addEventListener("visibilitychange", end)
    setTimeout(end, ms)
  })

  class Stream extends EventTarget {
    constructor(url, protocols) {
      super()
      if (!new URL(url).pathname.endsWith("/_stcore/stream")) return new Socket(url, protocols)
      this.readyState = CONNECTING
      this.http = url.replace(/^ws/, "http") + "-by-http"
      this.protocols = protocols.join(", ")
      this.saying = Promise.resolve()
      this.said = this.heard = 0
      noSockets ? this.openByHttp() : this.openSocket(url, protocols)
    }

    openSocket(url, protocols) {
      const socket = this.socket = new Socket(url, protocols)
      socket.binaryType = "arraybuffer"
      const instead = () => {
        if (this.readyState !== CONNECTING || this.socket !== socket) return
        this.socket = null
        socket.close()
        this.openByHttp()
      }
      setTimeout(instead, OPENS_WITHIN_MS)
      socket.onopen = () => this.socket === socket && this.opened()
      socket.onmessage = ({data}) => this.message(data)
      socket.onerror = () => this.readyState === OPEN ? this.dispatchEvent(new Event("error")) : instead()
      socket.onclose = ({code}) => {
        if (this.readyState !== OPEN) return instead()
        noSockets = !this.heard // a proxy let it open, and nothing through
        this.closed(code)
      }
    }

    async openByHttp() {
      const answer = await this.ask("", {method: "POST", headers: {"X-Stream-Protocols": this.protocols}}, 1)
      if (this.readyState !== CONNECTING) return
      if (answer?.status === 401) return location.reload()
      if (!answer?.ok) return this.dispatchEvent(new Event("error"))
      noSockets = true
      this.key = "/" + await answer.text()
      addEventListener("pagehide", () => this.leave())
      this.opened()
      this.listen()
    }

    async listen() {
      while (this.readyState === OPEN) {
        // Over HTTP/1 a browser has six requests to a host at once: the tabs that wait would leave none to the next one.
        if (document.hidden) await shownWithin(HIDDEN_MS)
        const answer = await this.ask(`${this.key}?from=${this.heard}${document.hidden ? "&now" : ""}`)
        const all = await answer?.arrayBuffer().catch(() => new ArrayBuffer(0)) // cut off: it is asked for again
        if (!answer?.ok) return this.closed(1006)
        for (let at = 0; at < all.byteLength && this.readyState === OPEN;) {
          const end = at + 4 + new DataView(all).getUint32(at)
          this.message(all.slice(at + 4, end))
          at = end
        }
      }
    }

    send(data) {
      if (this.socket) return this.socket.send(data)
      const place = `${this.key}?number=${this.said++}`
      this.saying = this.saying.then(async () => {
        const answer = this.readyState === OPEN && await this.ask(place, {method: "POST", body: data})
        if (!answer?.ok) this.closed(1006)
      })
    }

    close() {
      if (this.socket) this.socket.close()
      else if (this.key) this.leave()
      this.readyState = CLOSED
    }

    leave() {
      this.ask(`${this.key}?close`, {method: "POST", keepalive: true}, 1)
    }

    // The answer, or undefined where none came however often it was tried.
    async ask(place, how = {}, tries = TRIES) {
      for (let left = tries; left > 0; left--) {
        const answer = await this.askOnce(place, how)
        if (answer && answer.status < 500) return answer
        if (left > 1) await wait(1000)
      }
    }

    async askOnce(place, how) {
      const tooLate = new AbortController()
      const timer = setTimeout(() => tooLate.abort(), ANSWERS_WITHIN_MS)
      const answer = await fetch(this.http + place, {cache: "no-store", signal: tooLate.signal, ...how}).catch(() => undefined)
      clearTimeout(timer) // what comes in then may take as long as the line needs
      return answer
    }

    opened() {
      this.readyState = OPEN
      this.dispatchEvent(new Event("open"))
    }

    message(data) {
      this.heard += 1
      this.dispatchEvent(new MessageEvent("message", {data}))
    }

    closed(code) {
      if (this.readyState === CLOSED) return
      this.readyState = CLOSED
      this.dispatchEvent(new CloseEvent("close", {code}))
      this.askPassword()
    }

    // A studio that was started again asks for its password; Streamlit alone would only try and try.
    async askPassword() {
      const answer = await this.ask("", {}, 1)
      if (answer?.status === 401) return location.reload()
      if (!answer) setTimeout(() => this.askPassword(), 2000)
    }
  }
  window.WebSocket = Stream
})()
