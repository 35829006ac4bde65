"""A notes service as somebody else would write it: FastAPI, Redis, Postgres, and a login."""

import os
import secrets
from contextlib import asynccontextmanager
from typing import Annotated

import asyncpg
import redis.asyncio as redis
from fastapi import Depends, FastAPI, HTTPException
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel

cache = redis.from_url(os.environ["REDIS_URL"])
pool = None


@asynccontextmanager
async def lifespan(_app):
    global pool
    pool = await asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=2, max_size=8)
    await pool.execute("CREATE TABLE IF NOT EXISTS notes (id serial PRIMARY KEY, text text NOT NULL)")
    yield
    await pool.close()


app = FastAPI(title="Notes", lifespan=lifespan)
bearer = HTTPBearer()


class Login(BaseModel):
    user: str
    password: str


class Note(BaseModel):
    text: str


async def logged_in(token: Annotated[HTTPAuthorizationCredentials, Depends(bearer)]):
    user = await cache.get(f"session:{token.credentials}")
    if user is None:
        raise HTTPException(401)
    return user.decode()


User = Annotated[str, Depends(logged_in)]


@app.get("/healthz")
async def healthz():
    return {"status": "ok"}


@app.get("/about")
async def about():
    return {"visits": await cache.incr("visits")}


@app.post("/login")
async def login(given: Login):
    if given.password != "letmein":
        raise HTTPException(401)
    token = secrets.token_hex(8)
    await cache.set(f"session:{token}", given.user, ex=3600)
    return {"access_token": token}


@app.get("/notes")
async def notes(user: User):
    return [dict(row) for row in await pool.fetch("SELECT * FROM notes ORDER BY id DESC LIMIT 20")]


@app.get("/notes/latest")
async def latest():
    row = await pool.fetchrow("SELECT * FROM notes ORDER BY id DESC LIMIT 1")
    return dict(row) if row else {}


@app.get("/notes/{note_id}")
async def note(note_id: int, user: User):
    row = await pool.fetchrow("SELECT * FROM notes WHERE id = $1", note_id)
    if row is None:
        raise HTTPException(404)
    return dict(row)


@app.get("/search")
async def search(q: str):
    return [dict(row) for row in await pool.fetch("SELECT * FROM notes WHERE text LIKE $1 LIMIT 5", f"%{q}%")]


@app.post("/notes", status_code=201)
async def add(given: Note, user: User):
    return dict(await pool.fetchrow("INSERT INTO notes (text) VALUES ($1) RETURNING *", given.text))


@app.delete("/notes/{note_id}", status_code=204)
async def remove(note_id: int, user: User):
    await pool.execute("DELETE FROM notes WHERE id = $1", note_id)
