# Part of Counterfoil. Licence: GPL-3.0-or-later.
"""The Tryton module `counterfoil`: what no client can promise from outside.

Its models answer over the same JSON-RPC as all others, with the rights of the user who calls.
"""
